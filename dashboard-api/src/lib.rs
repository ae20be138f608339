//! The cloud's control plane: HTTP API, accounts, the global master.
