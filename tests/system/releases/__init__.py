"""Today's edge and agent beside those of the previous release, each in the other's place and on the other's files."""
