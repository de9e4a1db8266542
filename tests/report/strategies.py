"""Results nobody would write by hand: any text, any number, any number of anything."""

from __future__ import annotations

from hypothesis import strategies as st

from harness.model import CheckResult, Covered, Phase, RunResult, Verdict

texts = st.text(max_size=30)
numbers = st.floats()
optional_numbers = st.none() | numbers
names = st.sampled_from(
    ["alert A: pending", "alert A: firing", "alert A: resolved", "alert B: x: notified", "record: complete"]
)
checks = st.builds(
    CheckResult,
    experiment=st.sampled_from(["baseline", "heat"]) | texts,
    check=names | texts,
    verdict=st.sampled_from(Verdict),
    measured=optional_numbers,
    limit=optional_numbers,
    unit=st.sampled_from(["s", "ratio", ""]) | texts,
    summary=texts,
    evidence=st.lists(st.integers(0, 10**7), max_size=4).map(tuple),
)
phases = st.builds(Phase, name=texts, start_s=numbers, end_s=optional_numbers)
mappings = st.dictionaries(texts, texts, max_size=3)
results = st.builds(
    RunResult,
    run_id=texts,
    verdict=st.sampled_from(Verdict),
    results=st.lists(checks, max_size=6).map(tuple),
    phases=st.lists(phases, max_size=3).map(tuple),
    versions=mappings,
    seed=st.integers(),
    time_scale=st.sampled_from([1.0, 60.0]) | numbers,
    environment=texts,
    gpu=texts,
    not_exercised=st.lists(texts, max_size=3).map(tuple),
    coverage=st.dictionaries(
        st.sampled_from(["alerts", "receivers", "routes", "inhibition_rules", "panels"]),
        st.builds(Covered, st.lists(texts, max_size=3).map(tuple), st.lists(texts, max_size=3).map(tuple)),
    ),
    stack=mappings,
    experiments=st.lists(
        st.fixed_dictionaries({}, optional={"name": texts, "title": texts, "path": texts, "sha256": texts}), max_size=3
    ).map(tuple),
    interrupted=st.none() | texts,
    cpu_waited=st.none() | st.floats(0, 1),
)
