"""The verb ``verify``: every variant proved at many shapes, each in a process of its own on each device."""
