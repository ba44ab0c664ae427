"""The verb ``verify``: every variant proved at many shapes, in one child process per library and device."""
