mod reading;
mod round_trip;
mod summary;
mod warnings;
