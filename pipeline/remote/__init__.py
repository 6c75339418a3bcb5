"""Places that are no folder of this machine: objects in a bucket or behind a web server.

`urls` knows what a URL is, `objects` reads and writes single objects and tries again where that
helps, `faults` says what is wrong where it does not, and `traffic` counts. `cache` is a folder of
limited size that processes share, and `sparse` a file in it of which only some ranges are there.

Nothing of other packages is loaded before a URL is used.
"""
