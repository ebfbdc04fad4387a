//! The screens: what they show (snapshots, sizes, widths) and what their keys can and cannot do.

mod keyboard;
mod looks;
mod safety;
mod scene;
