"""Labs: a broken or puzzling cluster, a text that says what to look at, and checks that know when it is understood.

A lab is a folder of data; docs/labs.md describes it. `loading` reads it, `session` is one that is being taken, `proof`
shows that it works. The labs that come with netsim are in `library`.
"""
