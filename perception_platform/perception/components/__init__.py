"""Components and applications that come along: a file each, named in a graph's file by the file's name."""
