//! Directories: missing files, links to nowhere, files in the place of directories, no permission.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::{assert_refused, directory, load, written};

/// The smallest checkpoint with its file `name` replaced by what `put` makes at its path.
fn replaced(name: &str, put: impl FnOnce(&Path)) -> tempfile::TempDir {
    let directory = written(|_| ());
    let path = directory.path().join(name);
    fs::remove_file(&path).expect("removed");
    put(&path);
    directory
}

#[test]
fn a_missing_file_is_named_with_its_directory_and_what_is_there() {
    let directory = replaced("config.json", |_| ());
    let place = format!(
        "there is no `config.json` in `{}`",
        directory.path().display()
    );
    assert_refused(
        "config",
        directory.path(),
        &[&place, "holds `model.safetensors`"],
    );
    let directory = replaced("model.safetensors", |_| ());
    assert_refused(
        "weights",
        directory.path(),
        &[
            "no `model.safetensors` and no `pytorch_model.bin` in",
            "holds `config.json`",
        ],
    );
    let empty = super::directory();
    assert_refused(
        "empty",
        empty.path(),
        &["no `config.json`", "the directory is empty"],
    );
}

#[test]
fn the_names_in_a_large_directory_are_cut() {
    let directory = directory();
    for i in 0..20 {
        fs::write(directory.path().join(format!("file{i:02}")), b"").expect("written");
    }
    assert_refused("many", directory.path(), &["`file07` and 12 more"]);
}

#[test]
fn weights_in_other_formats_are_refused_by_name_and_no_tip_leads_to_a_random_pooler() {
    for (name, may_be_state_dict) in [
        ("bert.bin", true),
        ("model.pt", true),
        ("bert_model.ckpt", false),
        ("tf_model.h5", false),
        ("model.onnx", false),
    ] {
        let directory = replaced("model.safetensors", |path| {
            fs::write(path.with_file_name(name), b"x").expect("written");
        });
        assert_refused(
            name,
            directory.path(),
            &[&format!("only `{name}`"), "safetensors"],
        );
        let error = load(directory.path()).map(drop).expect_err(name);
        let tip = format!("mv {name} pytorch_model.bin");
        let found = error.tip().is_some_and(|found| found.ends_with(&tip));
        assert_eq!(found, may_be_state_dict, "{:?}", error.tip());
    }
}

#[test]
fn an_adapter_beside_the_weights_is_refused_by_name() {
    let directory = written(|_| ());
    fs::write(directory.path().join("adapter_config.json"), "{}").expect("written");
    assert_refused(
        "adapter",
        directory.path(),
        &["an adapter (`adapter_config.json`)"],
    );
}

#[test]
fn what_is_not_a_file_is_told_as_what_it_is_and_never_waited_for() {
    for name in ["config.json", "model.safetensors"] {
        let dangling = replaced(name, |path| symlink("nowhere", path).expect("linked"));
        assert_refused("dangling", dangling.path(), &[name, "a link to `nowhere`"]);
        let itself = replaced(name, |path| symlink(name, path).expect("linked"));
        assert_refused("a link to itself", itself.path(), &[name, "links"]);
        let folder = replaced(name, |path| fs::create_dir(path).expect("created"));
        assert_refused("a directory", folder.path(), &[name, "it is a directory"]);
        let device = replaced(name, |path| symlink("/dev/zero", path).expect("linked"));
        assert_refused("a device", device.path(), &[name, "a device, not a file"]);
        let pipe = replaced(name, |path| {
            let made = std::process::Command::new("mkfifo").arg(path).status();
            assert!(made.expect("mkfifo runs").success());
        });
        assert_refused("a pipe", pipe.path(), &[name, "it is a pipe"]);
    }
}

#[test]
fn a_directory_that_is_none_is_refused() {
    let directory = written(|_| ());
    let file = directory.path().join("config.json");
    assert_refused("a file", &file, &["it is a file, not a directory"]);
    assert_refused(
        "below a file",
        &file.join("x"),
        &["a part of its path is a file"],
    );
    assert_refused(
        "missing",
        &directory.path().join("x"),
        &["it does not exist"],
    );
    let link = directory.path().join("link");
    symlink("nowhere", &link).expect("linked");
    assert_refused("dangling", &link, &["a link to `nowhere`"]);
}

#[test]
fn what_may_not_be_read_is_refused_with_the_reason() {
    let directory = written(|_| ());
    let weights = directory.path().join("model.safetensors");
    fs::set_permissions(&weights, Permissions::from_mode(0o000)).expect("changed");
    if fs::File::open(&weights).is_ok() {
        eprintln!("not tried: this user may read everything");
        return;
    }
    assert_refused(
        "a file",
        directory.path(),
        &["model.safetensors", "permission denied"],
    );
    fs::set_permissions(directory.path(), Permissions::from_mode(0o000)).expect("changed");
    assert_refused("a directory", directory.path(), &["permission denied"]);
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).expect("changed");
}
