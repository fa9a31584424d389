"""The stages of the workflow, a module each, named after the stage of NRAO's pipeline that it corresponds to.

A stage is a function: typed parameters and paths in, a typed result out, files written in the current folder.
"""
