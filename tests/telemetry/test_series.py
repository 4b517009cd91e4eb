from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from textmill.telemetry.series import counter, gauge, histogram


def test_a_counter_is_shown_by_its_own_name_from_the_beginning() -> None:
    made = counter("requests", text="All of them.")
    assert list(made.lines()) == ["# HELP requests All of them.", "# TYPE requests counter", "requests 0"]
    made.of().add(3)
    assert list(made.lines())[-1] == "requests 3"


def test_each_value_of_a_label_is_shown_once_it_was_named() -> None:
    made = counter("failures", "err", "model")
    assert list(made.lines()) == ["# TYPE failures counter"]
    made.of("late", "m")
    made.of("lost", "m").add()
    assert list(made.lines())[1:] == ['failures{err="late",model="m"} 0', 'failures{err="lost",model="m"} 1']


def test_a_gauge_goes_up_and_down_and_away() -> None:
    made = gauge("state", "model")
    made.of("m").value = 5
    made.of("m").value = 0.5
    assert list(made.lines())[1:] == ['state{model="m"} 0.5']
    made.forget("m")
    made.forget("never seen")
    assert list(made.lines())[1:] == []


def test_a_histogram_counts_what_lies_at_or_below_each_bound() -> None:
    made = histogram("seconds", (0.00001, 0.5, 2))
    for value, times in ((0.00001, 1), (0.5, 2), (0.75, 1), (9.0, 1)):
        made.of().add(value, times)
    assert list(made.lines()) == [
        "# TYPE seconds histogram",
        'seconds_bucket{le="0.00001"} 1',
        'seconds_bucket{le="0.5"} 3',
        'seconds_bucket{le="2"} 4',
        'seconds_bucket{le="+Inf"} 5',
        "seconds_sum 10.75001",
        "seconds_count 5",
    ]


def test_prometheus_reads_labels_whatever_is_in_them() -> None:
    name = 'a "quoted"\\name\nof two lines'
    made = histogram("seconds", (1,), "model", text="Time.")
    made.of(name).add(0.5)
    [family] = text_string_to_metric_families("\n".join((*made.lines(), "")))
    assert (family.name, family.type, family.documentation) == ("seconds", "histogram", "Time.")
    assert {sample.labels["model"] for sample in family.samples} == {name}
    assert {sample.name: sample.value for sample in family.samples} == {
        "seconds_bucket": 1.0,
        "seconds_sum": 0.5,
        "seconds_count": 1.0,
    }
