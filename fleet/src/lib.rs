//! Fleet decisions: liveness now, placement and failover later. Pure, no I/O.
