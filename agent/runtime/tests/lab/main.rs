//! The runtime under real engines. Needs a running lab of two devices, named by `ECEP_TEST_LAB` (`cargo xtask lab up` makes
//! one named "lab"); without it these tests only say that they were skipped.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "all of this is a test")]

mod moves;
mod ordinary;
mod scene;
