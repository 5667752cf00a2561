//! Reads the fields of a form.
