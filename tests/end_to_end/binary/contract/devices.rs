//! Devices that are not there: exit code 8 and what to do instead. `auto` takes the CPU then.

use super::Place;

#[test]
#[cfg_attr(feature = "cuda", ignore = "needs a machine without an NVIDIA driver")]
fn a_gpu_that_cannot_be_used_is_a_device_error_with_a_tip() {
    let (cause, tip) = if cfg!(feature = "cuda") {
        (
            "there is no NVIDIA driver: libcuda.so.1 was not found",
            "use --device cpu",
        )
    } else {
        (
            "this build has no CUDA",
            "build with --features cuda, or use --device cpu",
        )
    };
    let place = Place::new();
    for (device, number) in [("cuda", 0), ("cuda:7", 7)] {
        let (code, stdout, stderr) = place.run(&["--device", device, "she is"]);
        let expected =
            format!("error: could not use the device `cuda:{number}`: {cause}\n  tip: {tip}\n");
        assert_eq!((code, stdout.as_str(), stderr), (8, "", expected));
    }
}

#[test]
#[cfg_attr(feature = "cuda", ignore = "needs a machine without an NVIDIA driver")]
fn auto_is_the_cpu_where_no_gpu_answers() {
    let place = Place::new();
    let auto = place.run(&["--device", "auto", "she is"]);
    assert_eq!(auto.0, 0, "{}", auto.2);
    assert_eq!(auto, place.run(&["--device", "cpu", "she is"]));
}
