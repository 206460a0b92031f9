"""
How visitors prove who they are: one module for each kind of check.

Pure: a check looks at a request and either knows the answer or asks a question that somebody else answers, in a thread
or over the network. Files come as text; keys and users change by building the check anew, and what was remembered of
the old ones goes with them.
"""
