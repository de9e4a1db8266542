"""The kinds of timeline entries and what each one's ``data`` holds.

Times inside ``data`` are seconds since the run began (``*_s``) unless the name says ``unix``. A key that was not
observed is absent or null, never zero.

========== ============================ =====================================================================
kind       name                         data
========== ============================ =====================================================================
run        started, ended               run_id, seed, time_scale, environment, gpu, not_exercised, versions
phase      baseline, experiment names…  status: ``begin`` or ``end``; for an experiment also title
pod        pod's name                   status: ``started`` or ``exited``; pid, exit_code, restarts, namespace, workload
fault      ``<kind>#<number>``          status: ``injecting``, ``injected``, ``effect``, ``no-effect``, ``undone``,
                                        ``undo-failed``, ``cleared`` or ``not-cleared``; fault, target, params, observed,
                                        source, experiment
rule       alert's name                 labels, state: ``pending``, ``firing`` or ``inactive``; at_s: the evaluation's time
evaluation rule group's name            last_s, interval_s, health (``ok``, ``err`` or ``unknown``), error
notice     receiver's name              status: ``firing`` or ``resolved``; arrived_s, alertname, labels, starts_at_s, ends_at_s,
                                        group_key
load       window                       from_s, to_s, requests, errors, latency_buckets (see ``Latencies``), lag_p99_s, rate
target     scrape pool                  instance, health: ``up``, ``down`` or ``unknown``, error
gap        source's name                from_s, to_s, error: the source could not be read in between
sample     alert's name                 at_s, labels, value: the metric its rule looks at, for the report
note       —                            text
========== ============================ =====================================================================
"""

from __future__ import annotations

RUN = "run"
PHASE = "phase"
POD = "pod"
FAULT = "fault"
RULE = "rule"
EVALUATION = "evaluation"
NOTICE = "notice"
LOAD = "load"
TARGET = "target"
GAP = "gap"
SAMPLE = "sample"
NOTE = "note"
KINDS = frozenset({RUN, PHASE, POD, FAULT, RULE, EVALUATION, NOTICE, LOAD, TARGET, GAP, SAMPLE, NOTE})
