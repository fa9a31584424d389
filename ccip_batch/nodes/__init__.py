"""The nodes of a job: what each kind does, the process it does it in, and who watches over that."""
