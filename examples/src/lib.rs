//! Examples, one file each.
