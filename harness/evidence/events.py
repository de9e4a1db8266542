"""The kinds of timeline entries and what each one's ``data`` holds.

Times inside ``data`` are seconds since the run began (``*_s``) unless the name says ``unix``. A key that was not
observed is absent or null, never zero.

=========== ================== ================================================================================
kind       name                data
=========== ================== ================================================================================
run        started             run_id, seed, time_scale, environment, gpu, not_exercised, versions, ready_s,
                               prometheus_pod
run        not ready           waited_s, pods: why each pod that is not ready is not
run        ended               interrupted: the signal's name or null; cpu_waited: the share of the time since
                               the stack was ready in which something waited for a processor of this machine
phase      the phase's name    status: ``begin`` or ``end``; an experiment's title; interrupted
pod        the pod's name      status: ``started``, ``exited`` or ``gone``, with its pod; namespace, workload,
                               container, pid, exit_code, restarts; completes: whether its work has an end;
                               first: whether this is the container's first start
fault      kind#number         status: ``injecting``, ``injected``, ``effect``, ``no-effect``, ``undoing``,
                               ``undone``, ``undo-failed``, ``cleared`` or ``not-cleared``; fault, target,
                               namespace (of a target that is pods of one), params, observed, source,
                               undoable (of ``injected``)
rule       the alert's name    labels; state: ``pending``, ``firing`` or ``inactive``; at_s: the evaluation's time
evaluation the group's name    last_s, interval_s, health: ``ok``, ``err`` or ``unknown``; error
notice     the receiver's name status: ``firing`` or ``resolved``; arrived_s, alertname, labels, starts_at_s,
                               ends_at_s, group_key, path
load       window              from_s, to_s, rate, planned, requests, errors, reasons, latency_buckets,
                               error_latency_buckets, lag_p99_s, in_flight, unfinished
target     the scrape pool     instance, health: ``up``, ``down``, ``unknown`` or ``gone``; error
gap        the source's name   from_s, to_s, error: the source could not be read in between
sample     the alert's name    at_s, labels, value: what its rule compares, for the report
panel      dashboard / title   query, series: how many it returned, error
note       what it is about    activity and error of an activity that failed
undelivered integration        alertmanager, failed: how many notifications it gave up delivering
=========== ================== ================================================================================
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
PANEL = "panel"
NOTE = "note"
UNDELIVERED = "undelivered"
KINDS = frozenset(
    {RUN, PHASE, POD, FAULT, RULE, EVALUATION, NOTICE, LOAD, TARGET, GAP, SAMPLE, PANEL, NOTE, UNDELIVERED}
)
