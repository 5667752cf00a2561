//! Values on the device: what operations give, what is saved for the backward pass, gradients and
//! optimiser moments. On the CPU a buffer is a `Vec`; with a card it lies in the card's memory, and
//! comes to the host only through the functions here that say so.

#[cfg(feature = "card")]
mod card;
#[cfg(not(feature = "card"))]
mod cpu;

#[cfg(feature = "card")]
use card as on;
#[cfg(not(feature = "card"))]
use cpu as on;

pub use on::{Buffer, Stored, Values, change_on_host, from_host, into_host, to_host, zeros};
