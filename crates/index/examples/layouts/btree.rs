//! The crate's own files for pages, compiled into this example. Formatting skips them because it would look for their tests in the wrong
//! folder.

#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../src/btree/anew.rs"]
pub(crate) mod anew;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../src/btree/build.rs"]
pub(crate) mod build;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../src/btree/dense.rs"]
pub(crate) mod dense;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../src/btree/dense_edit.rs"]
pub(crate) mod dense_edit;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../src/btree/edit.rs"]
pub(crate) mod edit;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../src/btree/fingerprint.rs"]
pub(crate) mod fingerprint;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../src/btree/layout.rs"]
pub(crate) mod layout;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../src/btree/leaf.rs"]
pub(crate) mod leaf;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../src/btree/node.rs"]
pub(crate) mod node;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../src/btree/search.rs"]
pub(crate) mod search;
#[allow(dead_code)]
#[rustfmt::skip]
#[path = "../../src/btree/split.rs"]
pub(crate) mod split;
