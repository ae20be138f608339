//! The WAMP router as a deterministic state machine.
