"""The engines that run the graph of a job."""
