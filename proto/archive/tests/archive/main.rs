//! Archives, good ones and hostile ones, through the crate's four doors.

mod any;
mod contexts;
mod hostile;
mod images;
mod make;
