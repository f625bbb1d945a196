//! Pure dataflow operators: no I/O, no models, no clocks.
