//! For this build alone.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(docsrs, shuttle)");
    println!("cargo::rustc-cfg=shuttle");
}
