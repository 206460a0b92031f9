"""
Which edge of a fleet numbers the zone.

Every edge answers DNS from what it knows itself. A secondary that asks several of them needs one serial to mean one
content, so one edge numbers the zone under a record of the registry.

Begin with `states` (who numbers, a table), then `records` (what is in the registry) and `holding` (keeps the record).
"""
