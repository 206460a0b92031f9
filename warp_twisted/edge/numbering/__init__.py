"""
Which edge of a fleet numbers the zone, and how the others get what it has numbered.

Every edge answers DNS from what it knows itself. A secondary that asks several of them needs one serial to mean one
content, so one edge numbers the zone under a record of the registry, and the others transfer from it over their links.

Begin with `states` (who numbers, a table), then `records` (what is in the registry), `holding` (keeps the record),
`telling` and `hearing` (pure, both ends of a transfer), `sharing` (over the links), `numbering` (the room's door).
"""
