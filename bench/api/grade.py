"""Run the ``grade`` command: give a student's file points, and print or write them."""

import sys

import msgspec

from bench.api.options import GradeOptions
from bench.gradients import assignment
from bench.machine.errors import UserError, error_text
from bench.machine.files import as_path, check_writable, write_atomic
from bench.machine.wording import printable


def main(args: GradeOptions) -> int:
    """Grade the file and show the result; return 0 for full points, 1 for fewer, 3 if nothing was graded.

    Raises:
        UserError: there is no such file, or the results would replace a submission.
        OSError: the results cannot be written.
    """
    from bench.reporting import grade_table  # rich, needed from here on

    out = None if args.gradescope is None else as_path(args.gradescope)
    if out is not None:
        if out.suffix == ".py":
            raise UserError(f"--gradescope would replace {out}: name another file, as results.json")
        check_writable(out)
    try:
        grade = assignment.grade(
            as_path(args.submission), args.assignment, time_s=args.time, memory_bytes=args.memory
        )
    except Exception as error:
        if out is not None:  # or the student would see nothing
            write_atomic(out, msgspec.json.encode({"score": 0, "output": printable(error_text(error))}))
        raise
    if out is not None:
        write_atomic(out, msgspec.json.format(msgspec.json.encode(grade_table.gradescope(grade))))
    if args.json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(grade), indent=1).decode() + "\n")
    else:
        grade_table.show(grade)
    return grade.exit_code
