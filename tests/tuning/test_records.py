import json
import math
import threading

import numpy as np
import pytest
from sweep_values import make_record

from tuning.records import RunRecord, least_finite
from tuning.runs_file import RUNS_FILE, append_record, read_records


def test_a_record_survives_being_written_down():
    record = make_record(history={"loss": [1.0, None]}, val_metrics={"accuracy": 0.5})
    assert RunRecord.from_json(record.to_json()) == record


def test_numbers_that_json_lacks_become_null():
    record = make_record(
        final_val_loss=math.nan,
        history={"loss": [math.inf]},
        optimizer_config={"rate": np.float32(0.5), "schedule": len},
    )
    plain = json.loads(record.to_json())
    assert plain["final_val_loss"] is None
    assert plain["history"] == {"loss": [None]}
    assert plain["optimizer_config"]["rate"] == 0.5


def test_a_configuration_may_hold_anything():
    config = {"table": np.array([1.0, math.inf]), "lock": threading.Lock(), "z": 1j}
    read = RunRecord.from_json(make_record(optimizer_config=config).to_json())
    assert read.optimizer_config["table"] == [1.0, None]
    assert "lock" in read.optimizer_config["lock"]
    assert read.optimizer_config["z"] == "1j"


def test_an_unknown_status_is_refused():
    with pytest.raises(ValueError, match="status must be one of"):
        make_record(status="lost")


def test_records_are_read_in_order_and_the_last_one_of_a_run_counts(tmp_path):
    for seed, steps in ((0, 1), (1, 1), (0, 2)):
        append_record(tmp_path, make_record(seed, steps=steps))
    assert [(r.seed, r.steps) for r in read_records(tmp_path)] == [(0, 2), (1, 1)]


def test_a_torn_line_costs_its_run_and_no_other(tmp_path, caplog):
    append_record(tmp_path, make_record(0))
    with (tmp_path / RUNS_FILE).open("a") as file:
        file.write(make_record(1).to_json()[:40])
    append_record(tmp_path, make_record(2))
    assert [record.seed for record in read_records(tmp_path)] == [0, 2]
    assert "line 2 cannot be read" in caplog.text


@pytest.mark.parametrize("line", ["3", "[]", '{"run_id": "a"}', "{"])
def test_a_line_that_is_no_record_is_refused(line):
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own error among them
        RunRecord.from_json(line)


def test_fields_of_a_later_version_are_ignored():
    plain = json.loads(make_record().to_json())
    assert RunRecord.from_json(json.dumps({**plain, "later": 1})) == make_record()


def test_a_directory_without_records_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=RUNS_FILE):
        read_records(tmp_path)


def test_least_finite_passes_over_what_is_no_number():
    assert least_finite([None, math.nan, 2.0, 1.0]) == 1.0
    assert least_finite([None]) is None
