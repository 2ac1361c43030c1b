use vexfs_fs::Fs;
fn _x(_: &Fs) {}
