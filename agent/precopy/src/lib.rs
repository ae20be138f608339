//! Memory pre-copy without the kernel's help: a running container's pages are read through /proc while it runs, and sent in
//! rounds; after the freeze only those pages of CRIU's images travel that have not gone before. Pages are known by their
//! content, so that neither dirty-page tracking nor the layout of memory matters: a page that moved, or is shared, or comes in
//! a memfd is the same page.
//!
//! The source has a [`sent::Sent`] and a [`memory`] reader, the destination a [`pool::Pool`]; [`rounds`] says when to freeze.
//! [`recipe`] is what travels after the freeze. Everything blocks; nothing here knows of networks, containers or CRIU beyond
//! its `pages-*.img` being pages, one after the other.

pub mod apply;
pub mod copy;
pub mod memory;
pub mod page;
pub mod pool;
pub mod recipe;
pub mod rounds;
pub mod sent;
pub mod tree;
