"""
Judging: a document compiled into one program per hostname, and what the program says of a request.

`compiler` makes the parts and puts the programs together, `program` judges, `explaining` tells why.
"""
