"""Which test injects which fault. Every fault of the list is named, and every test that is named is there."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SIGNALS, WORKERS, RUNNING = "faults/test_signals.py", "faults/test_workers.py", "faults/test_running.py"
VALUES, AROUND, NAMES = "faults/test_values.py", "faults/test_environment.py", "faults/test_names.py"
REPORTS, PLUGIN = "faults/test_reports.py", "faults/test_pytest_plugin.py"
KILLS, TABLE = "faults/test_kill_resume.py", "test_table.py"

# fault -> what happens, and the tests that make it happen: (file, function)
FAULTS: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "F1": ("Ctrl-C at any moment, and a second one", [
        (SIGNALS, "test_a_signal_at_any_moment_ends_run_and_workers_and_keeps_the_journal"),
        (SIGNALS, "test_a_second_ctrl_c_ends_it_too"),
        ("acceptance/test_signals.py", "test_a_second_ctrl_c_ends_it_too"),
        (SIGNALS, "test_a_signal_while_workers_are_stopped_is_held_back_and_not_lost"),
        (SIGNALS, "test_a_signal_while_the_report_is_drawn_harms_nothing_that_was_measured"),
        (WORKERS, "test_a_worker_that_ctrl_c_found_half_started_is_not_left_behind"),
        ("test_runner.py", "test_ctrl_c_ends_the_workers_and_writes_the_end"),
        ("test_runner.py", "test_two_ctrl_c_in_a_row_leave_no_worker_behind"),
    ]),
    "F2": ("TERM, and a terminal that hangs up", [
        (SIGNALS, "test_a_signal_at_any_moment_ends_run_and_workers_and_keeps_the_journal"),
        (SIGNALS, "test_a_run_under_nohup_does_not_hear_the_terminal_hang_up"),
        ("test_cli.py", "test_an_interrupted_run_keeps_its_journal_and_still_reports"),
    ]),
    "F3": ("killed outright, then resumed", [
        (KILLS, "test_killed_twice_and_resumed_a_run_has_every_burst_once"),
        (KILLS, "test_an_interrupted_run_is_resumed_too"),
        (KILLS, "test_a_run_that_is_complete_is_left_alone"),
        ("test_resume.py", "test_the_schedule_is_that_of_an_uninterrupted_run"),
        ("acceptance/test_kill_resume.py", "test_nothing_is_lost_by_killing_a_run_at_any_moment"),
    ]),
    "F4": ("a torn last line", [
        ("test_sealed.py", "test_cut_at_any_byte_of_its_last_record_the_others_are_read"),
        ("test_sealed.py", "test_what_a_power_cut_leaves_after_the_last_line_is_left_out"),
        ("test_resume_journal.py", "test_a_reopened_journal_continues_the_chain_and_a_torn_tail_is_cut_off"),
        (REPORTS, "test_a_torn_journal_is_reported_by_the_command"),
    ]),
    "F5": ("a bit that flips, a line that is lost, doubled or moved", [
        ("test_sealed.py", "test_a_bit_that_flips_anywhere_is_noticed"),
        ("test_sealed.py", "test_a_line_that_is_lost_doubled_or_moved_is_noticed"),
        ("test_sealed.py", "test_a_damaged_line_is_named"),
    ]),
    "F6": ("a disk that is full, read-only or broken", [
        ("test_files.py", "test_where_the_disk_fills_up_the_old_file_stays"),
        ("test_resume_journal.py", "test_a_write_that_fails_leaves_the_lines_before_it"),
        ("test_resume_journal.py", "test_a_limit_on_the_size_of_files_is_an_error_and_no_signal"),
        ("test_journal.py", "test_a_folder_that_is_not_there_is_a_clear_error"),
    ]),
    "F7": ("a crash between write, fsync and rename", [
        ("test_files.py", "test_where_a_step_before_the_new_name_fails_the_old_file_stays"),
        ("test_files.py", "test_a_folder_that_cannot_be_opened_or_synced_by_its_file_system_is_done_without"),
        ("test_files.py", "test_content_is_on_the_disk_before_it_gets_the_name_and_the_name_after"),
    ]),
    "F8": ("results that are there already", [
        ("test_journal.py", "test_an_existing_journal_is_never_overwritten"),
        ("test_cli.py", "test_a_small_run_leaves_a_journal_a_report_and_its_headline"),
        ("test_training.py", "test_bad_settings_are_refused_before_anything_is_written"),
    ]),
    "F9": ("two runs in one folder", [
        ("test_resume_journal.py", "test_a_second_run_in_the_same_folder_is_refused_until_the_first_is_gone"),
        (KILLS, "test_two_at_once_in_one_folder_do_not_mix"),
    ]),
    "F10": ("a worker that hangs, is stopped, ignores TERM, or leaves a child with its pipe", [
        (WORKERS, "test_the_deadline_holds_whatever_it_prints_or_ignores"),
        (WORKERS, "test_a_grandchild_that_keeps_the_pipe_open_does_not_hide_that_the_worker_died"),
        (WORKERS, "test_several_stubborn_workers_take_one_period_of_grace_together"),
        (RUNNING, "test_who_hangs_is_ended_at_the_deadline_however_stubborn"),
    ]),
    "F11": ("a worker that segfaults, aborts or leaves", [
        (WORKERS, "test_what_no_worker_says_is_a_crash_with_its_reason"),
        (RUNNING, "test_what_fails_has_its_status_and_no_value_and_the_others_go_on"),
    ]),
    "F12": ("a worker that says rubbish, half a reply, two, or no end of one", [
        (WORKERS, "test_what_no_worker_says_is_a_crash_with_its_reason"),
        (WORKERS, "test_a_reply_that_nobody_asked_for_is_not_taken_for_the_next_one"),
        (WORKERS, "test_what_a_worker_said_last_is_kept_and_no_more"),
        (RUNNING, "test_what_fails_has_its_status_and_no_value_and_the_others_go_on"),
        (RUNNING, "test_who_only_talks_is_timed"),
    ]),
    "F13": ("the host's memory runs out", [
        (WORKERS, "test_killed_by_someone_else_means_that_memory_ran_out"),
        (WORKERS, "test_killed_by_us_does_not"),
        (RUNNING, "test_what_fails_has_its_status_and_no_value_and_the_others_go_on"),
    ]),
    "F14": ("a device's memory runs out", [
        (RUNNING, "test_after_memory_ran_out_the_next_case_gets_a_fresh_worker"),
    ]),
    "F15": ("a device is absent, breaks or is another one", [
        ("test_device.py", "test_asking_for_an_absent_device_is_an_error"),
        ("test_device.py", "test_every_device_is_found_with_its_dtypes_also_where_a_driver_breaks"),
        ("test_plan.py", "test_what_cannot_be_measured_is_missing_with_the_reason"),
        ("test_binding.py", "test_the_arrays_are_on_the_device_or_nowhere"),
        (RUNNING, "test_what_fails_has_its_status_and_no_value_and_the_others_go_on"),
        (VALUES, "test_numbers_of_the_cpu_never_stand_under_the_name_of_another_device"),
    ]),
    "F16": ("a dtype that a device does not know", [
        ("test_device.py", "test_every_device_is_found_with_its_dtypes_also_where_a_driver_breaks"),
        ("test_plan.py", "test_what_cannot_be_measured_is_missing_with_the_reason"),
    ]),
    "F17": ("PyTorch is missing, broken or old", [
        ("test_device.py", "test_without_a_working_torch_numpy_keeps_the_cpu"),
        ("test_device.py", "test_a_torch_that_cannot_be_imported_says_why"),
        ("test_libraries.py", "test_a_build_without_a_switch_is_no_error_and_a_switch_that_refuses_shows"),
        ("test_plan.py", "test_what_cannot_be_measured_is_missing_with_the_reason"),
        (AROUND, "test_without_torch_numpy_is_measured_and_the_reason_is_said"),
    ]),
    "F18": ("times and results that are no numbers", [
        (VALUES, "test_a_clock_that_is_broken_gives_no_value"),
        (VALUES, "test_a_broken_clock_makes_an_entry_invalid"),
        (VALUES, "test_no_error_that_is_not_a_number_passes_for_a_small_one"),
        (VALUES, "test_a_run_with_results_that_are_no_numbers_writes_its_whole_journal"),
        ("test_journal.py", "test_a_number_that_is_not_finite_is_refused_wherever_it_stands"),
        ("test_journal.py", "test_a_journal_that_contradicts_its_plan_is_refused"),
        ("test_expected.py", "test_dynamics_that_expand_are_refused_not_tolerated"),
        ("test_gates.py", "test_a_nan_fires_and_what_cannot_be_read_is_left_out"),
    ]),
    "F19": ("a wrong answer", [
        ("test_mutants.py", "test_every_mutant_is_killed_where_it_is_wrong_and_passes_elsewhere"),
        (VALUES, "test_a_wrong_answer_has_no_time"),
        (AROUND, "test_a_wrong_answer_has_neither_time_nor_ratio_anywhere"),
        ("test_verdict.py", "test_one_failed_proof_takes_the_entry_out_and_its_time_with_it"),
        ("test_cli.py", "test_a_disagreement_is_exit_code_1_and_json_alone_goes_to_standard_output"),
    ]),
    "F20": ("inputs that change", [
        (VALUES, "test_a_wrong_answer_has_no_time"),
        (RUNNING, "test_what_fails_has_its_status_and_no_value_and_the_others_go_on"),
        ("test_runner.py", "test_inputs_that_changed_on_the_way_are_refused"),
    ]),
    "F21": ("a schema that is older, newer or none", [
        ("test_journal.py", "test_another_schema_is_refused_in_one_line_whatever_its_records_are"),
        ("test_journal.py", "test_a_schema_that_never_was_is_no_journal"),
        ("test_journal.py", "test_an_unknown_field_is_no_record_of_ours"),
    ]),
    "F22": ("results of different machines", [
        ("test_merge.py", "test_the_facts_in_which_machines_differ_are_named"),
        ("test_merge.py", "test_a_report_of_different_machines_must_be_asked_for"),
    ]),
    "F23": ("the same machine in another state", [
        ("test_audit_changes.py", "test_every_change_that_bears_on_speed_is_said"),
        ("test_gates.py", "test_a_machine_that_changes_during_a_run_gives_no_verdict"),
        ("test_gates.py", "test_a_library_that_changes_during_a_run_gives_no_verdict"),
        ("test_audit.py", "test_a_variable_is_judged_by_what_it_does_and_whom_it_reaches"),
    ]),
    "F24": ("a clock that jumps, a machine that sleeps", [
        ("test_clock.py", "test_a_clock_that_stands_still_or_runs_backwards_gives_no_value"),
        ("test_audit_changes.py", "test_sleep_shows_as_a_gap_between_the_clocks"),
    ]),
    "F25": ("more threads than processors", [
        ("test_machine.py", "test_usable_processors_are_affinity_and_quota_rounded_down"),
        ("test_audit.py", "test_what_is_wrong_with_a_machine_is_found"),
        ("test_report.py", "test_the_audit_finds_wrong_threads_and_other_inputs"),
    ]),
    "F26": ("pickles in what is read", [
        ("test_arrays.py", "test_a_pickle_is_not_opened"),
        ("test_arrays.py", "test_a_header_that_is_none_is_refused"),
    ]),
    "F27": ("bombs: size, depth, number, equal keys, literals", [
        ("test_sealed.py", "test_a_file_a_line_and_a_number_of_lines_have_limits"),
        ("test_sealed.py", "test_depth_is_limited_far_below_what_recursion_stands"),
        ("test_sealed.py", "test_equal_keys_are_found_where_anything_may_stand"),
        ("test_sealed.py", "test_plain_objects_hold_no_number_that_is_not_finite"),
        ("test_arrays.py", "test_zeros_packed_a_thousandfold_are_not_unpacked"),
        ("test_arrays.py", "test_an_array_that_claims_to_be_larger_than_it_is_gets_no_room"),
    ]),
    "F28": ("names that are paths, and paths that lead elsewhere", [
        (NAMES, "test_a_slug_is_a_name_that_every_file_system_takes"),
        (NAMES, "test_plots_have_stems_of_their_own_even_where_names_differ_in_case_alone"),
        (NAMES, "test_a_report_writes_nothing_outside_its_folder"),
        (NAMES, "test_a_report_replaces_links_and_leaves_what_they_point_to"),
        (NAMES, "test_a_journal_is_not_written_through_a_link"),
        (NAMES, "test_a_folder_that_cannot_be_and_a_variant_that_is_a_path_are_one_line_and_exit_code_2"),
        (NAMES, "test_a_folder_with_a_zero_byte_in_its_name_is_refused"),
        ("test_arrays.py", "test_members_that_nobody_asked_for_are_refused_by_name"),
    ]),
    "F29": ("markup in names", [
        ("test_report_files.py", "test_no_name_breaks_out_of_html_markdown_or_svg"),
        (REPORTS, "test_html_stays_text"),
        (REPORTS, "test_markdown_stays_text"),
        (REPORTS, "test_control_characters_of_a_journal_are_not_shown"),
        (REPORTS, "test_markup_in_a_name_does_not_end_the_display_of_a_run"),
        (REPORTS, "test_no_cell_of_the_table_is_a_formula"),
        (TABLE, "test_a_name_that_looks_like_a_formula_is_made_harmless_and_numbers_are_left_alone"),
    ]),
    "F30": ("secrets in the environment", [
        ("test_environ.py", "test_no_secret_and_no_person_gets_into_a_record"),
        ("test_environ.py", "test_only_harmless_values_are_recorded"),
        ("test_machine.py", "test_the_description_names_no_host_and_no_person"),
    ]),
    "F31": ("pytest's ways of not timing", [
        (PLUGIN, "test_where_timing_cannot_be_there_is_no_number_and_a_reason"),
        (PLUGIN, "test_plain_tests_run_without_the_benchmark_plugin"),
        ("test_pytest_benchmark.py", "test_benchmark_skip_wins_and_disable_proves_without_timing"),
        ("test_pytest_benchmark.py", "test_benchmarks_asked_for_by_path_alone_say_what_is_missing"),
    ]),
    "F32": ("nothing is left to measure", [
        (AROUND, "test_where_nothing_can_be_measured_there_is_a_sentence_and_no_success"),
        ("test_plan.py", "test_what_contradicts_itself_or_the_machine_is_refused"),
    ]),
    "F33": ("other languages, time zones, paths, no terminal, closed pipes", [
        (AROUND, "test_a_report_is_the_same_bytes_in_any_language_time_zone_and_folder"),
        (AROUND, "test_a_run_into_a_folder_whose_name_is_no_text_works"),
        (AROUND, "test_a_reader_that_has_gone_is_told_by_the_code_alone"),
        (AROUND, "test_without_standard_streams_a_run_works_too"),
        (AROUND, "test_without_a_terminal_no_control_sequence_is_printed"),
    ]),
    "F34": ("state that is left changed", [
        (AROUND, "test_the_command_leaves_the_process_as_it_found_it_and_no_files_beside_its_own"),
        (PLUGIN, "test_a_benchmark_leaves_its_process_as_it_found_it"),
        (SIGNALS, "test_handlers_are_as_before_afterwards"),
    ]),
    "F35": ("a journal that ends anywhere", [
        (REPORTS, "test_a_journal_cut_after_any_record_has_a_report_that_says_it_is_not_whole"),
        (REPORTS, "test_a_cut_run_tells_how_many_blocks_hold_values_and_who_is_missing"),
        ("test_summary.py", "test_wherever_a_run_was_cut_off_its_summary_is_made_and_says_so"),
    ]),
    "F36": ("the report made again", [
        ("test_report_files.py", "test_the_same_journal_gives_the_same_bytes"),
        (AROUND, "test_a_report_is_the_same_bytes_in_any_language_time_zone_and_folder"),
    ]),
}  # fmt: skip


def missing(faults: dict[str, tuple[str, list[tuple[str, str]]]]) -> list[str]:
    """What is named and is not there."""
    said = []
    for fault, (_, tests) in faults.items():
        for file, name in tests:
            path = TESTS / file
            if not path.exists() or name not in functions(path):
                said.append(f"{fault}: {file}::{name}")
    return said


def functions(path: Path) -> set[str]:
    """The test functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_fault_is_named() -> None:
    assert list(FAULTS) == [f"F{number}" for number in range(1, 37)]
    assert all(tests for _, tests in FAULTS.values())


def test_every_test_that_is_named_is_there() -> None:
    assert missing(FAULTS) == []


@pytest.mark.parametrize("wrong", [("test_runner.py", "test_nothing"), ("test_nowhere.py", "test_nothing")])
def test_one_that_is_not_there_would_be_seen(wrong: tuple[str, str]) -> None:
    assert missing({"F0": ("", [wrong])}) == [f"F0: {wrong[0]}::{wrong[1]}"]
