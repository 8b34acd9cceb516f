"""What other packages do not promise, held against the versions that are installed.

A failure here names the surface: look up what the new version has in its place, and change it in
churn_jax/system/private_surfaces.py, with the version.
"""

import functools
import glob
import importlib.metadata
import importlib.util
import inspect
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
import pytest
import tensorstore

from churn_jax.planner import compiling
from churn_jax.planner.program import Program
from churn_jax.system import private_surfaces
from tests.fixtures.experiments import ROOT


def versions():
    found = {}
    for name in ("jax", "jaxlib", "libtpu", "orbax-checkpoint", "tensorstore"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "none"
    return ", ".join(f"{name} {version}" for name, version in found.items())


def assert_holds(name, check, *arguments):
    """However a check fails, the surface and the versions are named."""
    try:
        held = check(*arguments)
    except Exception as error:
        raise AssertionError(changed(name)) from error
    assert held, changed(name)


def changed(name):
    value = getattr(private_surfaces, name)
    value = "" if callable(value) else f" = {value!r}"
    return f"private_surfaces.{name}{value} is not what it was in {versions()}"


def compiled_text(function, *arguments, **options):
    return jax.jit(function, **options).lower(*arguments).compile().as_text()


def python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env=os.environ | environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def keep_barriers():
    def held(x):
        return jax.lax.optimization_barrier(x * 2) + 1

    options = private_surfaces.KEEP_BARRIERS
    assert "opt-barrier" not in compiled_text(held, jnp.ones(8)), "barriers stay by themselves now"
    return "opt-barrier" in compiled_text(held, jnp.ones(8), compiler_options=options)


def own_convolutions():
    def convolved(x, kernel):
        shapes = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=shapes)
        return jnp.square(y).sum()

    def handed_over(function, *arguments):
        """Whether YNNPACK computes it: by default, and with the option."""
        default = compiled_text(function, *arguments)
        options = private_surfaces.OWN_CONVOLUTIONS
        asked = compiled_text(function, *arguments, compiler_options=options)
        return "__ynn_fusion" in default, "__ynn_fusion" in asked

    images, kernel = jnp.ones((32, 16, 16, 8)), jnp.ones((3, 3, 8, 8))
    product = handed_over(jnp.matmul, jnp.ones((64, 64)), jnp.ones((64, 64)))
    gradient = handed_over(jax.grad(convolved, 1), images, kernel)
    return gradient == (True, False) and product == (True, True)


def accepted(options):
    """XLA refuses an option that it does not know."""
    for name in options:
        with pytest.raises(jax.errors.JaxRuntimeError, match="No such compile option"):
            jax.jit(lambda x: x, compiler_options={f"{name}_x": options[name]})(1)
    return jax.jit(lambda x: x + 1, compiler_options=options)(1) == 2


def pool_size():
    code = "import jax, os; jax.numpy.ones(3).sum().block_until_ready()\n"
    code += "print(len(os.listdir('/proc/self/task')))"
    few, many = (
        int(python(code, XLA_FLAGS="", **{private_surfaces.CPU_POOL_SIZE: str(n)})) for n in (4, 24)
    )
    return many - few >= 20


def host_devices():
    flags = f"--{private_surfaces.HOST_DEVICES}=3"
    return python("import jax; print(jax.device_count())", XLA_FLAGS=flags) == "3"


@functools.cache
def on_a_slice(function, shape):
    """The text of a program for one TPU core, or why it can't be compiled."""
    device = compiling.slice_devices("v5e:2x2")[0]
    sharding = jax.sharding.SingleDeviceSharding(device)
    argument = jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding)
    try:
        return jax.jit(function).trace(argument).lower().compile().as_text()
    except jax.errors.JaxRuntimeError as error:
        return str(error)


def repeated(x):
    def body(x, _):
        return jnp.sin(x @ x), None

    return jax.lax.scan(body, x, None, 7)[0]


def tpu_text():
    return on_a_slice(repeated, (512, 512))


def out_of_memory():
    needed = compiling.read_memory_needed(on_a_slice(lambda x: jnp.cos(x.T @ x), (2**17, 2**17)))
    return needed is not None and needed[0] > needed[1] > 2**33


def changed_late(folder):
    """Files of other names don't change once Orbax has called us back for the last time."""
    seen = {}

    def note():
        (step,) = folder.iterdir()
        seen.update({p.relative_to(step): p.read_bytes() for p in step.rglob("*") if p.is_file()})

    options = ocp.CheckpointManagerOptions(
        async_options=ocp.AsyncOptions(post_finalization_callback=note)
    )
    with ocp.CheckpointManager(folder, options=options) as manager:
        manager.save(1, args=ocp.args.Composite(state=ocp.args.StandardSave({"a": jnp.ones(9)})))
        manager.wait_until_finished()
    now = {p.relative_to(folder / "1"): p for p in (folder / "1").rglob("*") if p.is_file()}
    late = {p.name for p in now if p not in seen or now[p].read_bytes() != seen[p]}
    return late <= set(private_surfaces.CHANGED_LATE) and private_surfaces.CHANGED_LATE[0] in late


def committed(folder):
    """What marks a whole checkpoint where Orbax does not rename, as in a bucket."""
    options = ocp.CheckpointManagerOptions(
        temporary_path_class=ocp.path.atomicity.CommitFileTemporaryPath
    )
    with ocp.CheckpointManager(folder, options=options) as manager:
        manager.save(1, args=ocp.args.Composite(state=ocp.args.StandardSave({"a": jnp.ones(9)})))
        manager.wait_until_finished()
    return (folder / "1" / private_surfaces.COMMITTED).exists()


def os_error(folder):
    (folder / "file").write_text("in the way")
    spec = {"driver": "zarr", "kvstore": f"file://{folder}/file/below/"}
    with pytest.raises(ValueError) as refused:
        tensorstore.open(spec, create=True, dtype=tensorstore.float32, shape=[1]).result()
    found = private_surfaces.OS_ERROR.search(str(refused.value))
    return found is not None and os.strerror(int(found[1])) == "Not a directory"


def refused_in(setting, value):
    """The file of JAX that refuses the value of an environment variable, at its import or use."""
    code = "import traceback\ntry:\n  import jax; jax.devices()\nexcept Exception as error:\n"
    code += "  print(traceback.extract_tb(error.__traceback__)[-1].filename)"
    return Path(python(code, XLA_FLAGS="", **{setting: value})).as_posix()


def unknown_flag():
    environment = os.environ | {"XLA_FLAGS": "--xla_nonsense=1"}
    trial = [sys.executable, "-c", private_surfaces.PARSE_FLAGS]
    ended = subprocess.run(trial, env=environment, capture_output=True, text=True)
    found = private_surfaces.UNKNOWN_FLAGS.search(ended.stderr)
    return ended.returncode != 0 and found is not None and "--xla_nonsense=1" in found[0]


def parsed(flag):
    code = private_surfaces.PARSE_FLAGS + "; print(1)"
    return python(code, XLA_FLAGS=flag) == "1"


def coordinator_address():
    """None before this process joins others, and where it found them then."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    code = f"""
import jax
from churn_jax.system.private_surfaces import coordinator_address
before = coordinator_address()
jax.distributed.initialize("{address}", 1, 0, cluster_detection_method="deactivate")
print(before, coordinator_address())
"""
    return python(code) == f"None {address}"


def tpu_chips(folder):
    """Counted on a bus with two TPU v5e chips, and one device that is none."""
    for place, vendor in (("04.0", "0x1ae0"), ("05.0", "0x1ae0"), ("06.0", "0x10de")):
        device = folder / f"0000:00:{place}"
        device.mkdir()
        (device / "vendor").write_text(vendor)
        (device / "device").write_text("0x0063")
    look = glob.glob
    with pytest.MonkeyPatch.context() as bus:
        real = "/sys/bus/pci/devices"
        bus.setattr(glob, "glob", lambda path: look(path.replace(real, str(folder))))
        return private_surfaces.num_tpu_chips() == 2


def gathered(x):
    return x[jnp.argsort(x[:, 0])]


CHECKS = {
    "CUSTOM_CALL": lambda: any(
        "potrf" in name
        for name in private_surfaces.CUSTOM_CALL.findall(
            compiled_text(jnp.linalg.cholesky, jnp.eye(4))
        )
    ),
    "SETTINGS_FILE": lambda: refused_in("JAX_ENABLE_X64", "maybe").endswith(
        private_surfaces.SETTINGS_FILE
    ),
    "PLATFORMS_FILE": lambda: refused_in("JAX_PLATFORMS", "cloud").endswith(
        private_surfaces.PLATFORMS_FILE
    ),
    "PARSE_FLAGS": lambda: parsed(""),
    "UNKNOWN_FLAGS": unknown_flag,
    "OPTIMISATION_LEVEL": lambda: parsed(f"{private_surfaces.OPTIMISATION_LEVEL}=0"),
    "DUMP": lambda: parsed(f"--{private_surfaces.DUMP}=sponge"),
    "coordinator_address": coordinator_address,
    "KEEP_BARRIERS": keep_barriers,
    "OWN_CONVOLUTIONS": own_convolutions,
    "UNOPTIMISED": lambda: accepted(private_surfaces.UNOPTIMISED),
    "GPU_DETERMINISTIC": lambda: accepted(private_surfaces.GPU_DETERMINISTIC),
    "CPU_POOL_SIZE": pool_size,
    "HOST_DEVICES": host_devices,
    "SOURCE": lambda: any(
        "sin" in name for name in private_surfaces.SOURCE.findall(compiled_text(jnp.sin, 1.0))
    ),
    "CALLS": lambda: any(
        len(private_surfaces.CALLS.split(name)) > 1
        for name in private_surfaces.SOURCE.findall(compiled_text(repeated, jnp.ones((4, 4))))
    ),
}
TPU_CHECKS = {
    "NOTES": lambda: private_surfaces.NOTES.intersection(
        private_surfaces.CUSTOM_CALL.findall(on_a_slice(gathered, (512, 512)))
    ),
    "ESTIMATED_CYCLES": lambda: (
        sum(map(int, private_surfaces.ESTIMATED_CYCLES.findall(tpu_text()))) > 1000
    ),
    "TRIP_COUNT": lambda: any(timed.times == 7 for timed in Program(tpu_text()).timeline()),
    "NO_METADATA_SERVER": lambda: private_surfaces.NO_METADATA_SERVER in os.environ,
    "WITHOUT_A_TPU": lambda: len(compiling.slice_devices("v3:2x2x1")) == 8,
    "OUT_OF_MEMORY": out_of_memory,
}
FOLDER_CHECKS = {
    "CHANGED_LATE": changed_late,
    "COMMITTED": committed,
    "OS_ERROR": os_error,
    "num_tpu_chips": tpu_chips,
}


def test_no_other_module_knows_of_them():
    """By text: private modules, compiler flags and options."""
    private = re.compile(r"\b(jax|jaxlib|orbax|flax)[\w.]*[. /]_|import _|interpreters|\bxla_\w+_")
    package = ROOT / "churn_jax"
    found = {
        f"{path.relative_to(package)}: {line.strip()}"
        for path in package.rglob("*.py")
        if path.name != "private_surfaces.py"
        for line in path.read_text().splitlines()
        if private.search(line)
    }
    assert not found


def test_every_surface_is_checked():
    surfaces = {
        name
        for name, value in vars(private_surfaces).items()
        if name.isupper() or inspect.isfunction(value)
    }
    assert surfaces == CHECKS.keys() | TPU_CHECKS.keys() | FOLDER_CHECKS.keys()


@pytest.mark.parametrize("name", CHECKS)
def test_surface(name):
    if name == "CPU_POOL_SIZE" and not Path("/proc/self/task").exists():
        pytest.skip("threads are counted as Linux shows them")
    assert_holds(name, CHECKS[name])


@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="needs libtpu")
@pytest.mark.parametrize("name", TPU_CHECKS)
def test_surface_of_the_tpu_compiler(name):
    assert_holds(name, TPU_CHECKS[name])


@pytest.mark.parametrize("name", FOLDER_CHECKS)
def test_surface_of_files(name, tmp_path):
    assert_holds(name, FOLDER_CHECKS[name], tmp_path)


def test_what_stops_the_check_of_varying_axes_still_does():
    """`Experiment` calls `shard_map(check_vma=False)` for this alone: if it works, check."""
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    def mean(x):
        return jax.lax.pmean(x, "data", axis_index_groups=[[0, 1], [2, 3]])

    spec = jax.sharding.PartitionSpec("data")
    checked = jax.shard_map(mean, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=True)
    with pytest.raises(NotImplementedError):
        jax.jit(checked).lower(jnp.ones(4))
