//! Tests on a random decoder of two layers that the tests write themselves.

mod damaged;
mod formats;
mod model;
