//! Cases of injection through whole requests: what is patched, whose policy it is, and that a second pass changes nothing.

mod amid;
mod carried;
mod choice;
mod fixture;
mod injectors;
mod pods;
mod secrets;
