"""What the project knows of JAX, XLA, Orbax, TensorStore and libtpu that they do not promise.

All of it stands here, each with the versions it was seen in. tests/system/test_private_surfaces.py
holds every name against what is installed, so that a new version which changes one fails there, by
name, and not as a slow step or a strange message. Needs those packages only in what it calls.
"""

import re

# JAX, modules that it keeps to itself; seen in jax 0.10.2 and 0.12.0.1 (see also the functions).
# Where a setting that makes no sense, and a platform that isn't there, are refused.
SETTINGS_FILE = "jax/_src/config.py"
PLATFORMS_FILE = "jax/_src/xla_bridge.py"
# XLA, compiler options of `jax.jit`. An unknown one is refused; an unknown pass is not.
# The CPU's compiler drops optimisation barriers before it fuses; without this pass they stay.
# Seen in jaxlib 0.10.2 and 0.12.0.1.
KEEP_BARRIERS = {"xla_disable_hlo_passes": "cse_barrier_expander"}
# What the CPU's compiler hands to the library YNNPACK: what it does by itself, less convolutions.
# Seen in jaxlib 0.10.2 and 0.12.0.1.
OWN_CONVOLUTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": (
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    )
}
# LLVM's optimiser, which takes ten times as long as a program of random numbers that is run once.
# Seen in jaxlib 0.10.2 and 0.12.0.1.
UNOPTIMISED = {"xla_backend_optimization_level": 0}
# No kernel that adds atomically, and none chosen by how fast it ran just now.
# Seen in jaxlib 0.10.2 and 0.12.0.1.
GPU_DETERMINISTIC = {
    "xla_gpu_deterministic_ops": True,
    "xla_gpu_exclude_nondeterministic_ops": True,
}

# XLA, environment.
# Threads of the CPU's pool; else as many as cores or devices. Seen in jaxlib 0.10.2.
CPU_POOL_SIZE = "PJRT_NPROC"
# In XLA_FLAGS: the least code that parses them, and what XLA says as it ends the process for a flag
# that it does not know. Seen in jaxlib 0.10.2 and 0.12.0.1.
PARSE_FLAGS = "from jaxlib import _jax; _jax.CompileOptions()"
UNKNOWN_FLAGS = re.compile(r"Unknown flags? in .*")
# In XLA_FLAGS: the same as `UNOPTIMISED`, for every program of a process. Seen in the same.
OPTIMISATION_LEVEL = f"--{next(iter(UNOPTIMISED))}"
# In XLA_FLAGS: how many devices a CPU shows; JAX's own option is `jax_num_cpu_devices`.
# Seen in jaxlib 0.10.2 and 0.12.0.1.
HOST_DEVICES = "xla_force_host_platform_device_count"
# In XLA_FLAGS: where programs are written to be read. No result depends on it. Seen in the same.
DUMP = "xla_dump_to"

# XLA, text of a compiled program (its grammar is read by `planner.program` and `.collectives`).
# The TPU compiler's cost of an instruction, in its JSON. Seen in libtpu 0.0.42.1.
ESTIMATED_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
# What a custom call calls, and which of these are notes to the compiler that take no time.
# Seen in libtpu 0.0.42.1.
CUSTOM_CALL = re.compile(r'custom_call_target="([^"]+)"')
NOTES = {
    *("AssumeGatherIndicesInBound", "GatherScatterIndicesBitpacked"),
    *("PrepareAsyncCallStart", "PrepareAsyncCallDone"),
    # Parts that were prefetched, side by side in memory; room for what comes.
    *("ConcatBitcast", "AllocateBuffer"),
}
# How often a loop runs, where the compiler says it. libtpu 0.0.42.1 leaves it out, and the bound of
# the loop's counter has to do.
TRIP_COUNT = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
# The Python that an instruction comes from, and what JAX puts before it inside of loops and calls.
# Seen in jax 0.10.2.
SOURCE = re.compile(r'op_name="([^"]*)"')
CALLS = re.compile(r"closed_call/|eval_jaxpr/")

# libtpu, environment: what makes it compile on a machine without a TPU. It would ask a TPU VM's
# metadata server, and refuse to be loaded by two processes. Seen in libtpu 0.0.42.1.
NO_METADATA_SERVER = "TPU_SKIP_MDS_QUERY"
WITHOUT_A_TPU = {
    NO_METADATA_SERVER: "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v3-8",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
# libtpu, message: needed and available memory, in one of two ways.
# The first was seen in libtpu 0.0.42.1.
OUT_OF_MEMORY = re.compile(
    r"(?:temporaries \(|Used )([\d.]+)([KMGT]?)\)? "
    r"(?:exceeds available HBM \(|of )([\d.]+)([KMGT]?)"
)

# Orbax, files: what it still changes in a checkpoint after its last call to us; no state depends
# on them. Seen in orbax-checkpoint 0.12.8.
CHANGED_LATE = ("_CHECKPOINT_METADATA", "commit_success.txt")
# Orbax, files: in a checkpoint of a bucket, which can't be renamed, once it is whole.
# Seen in the same.
COMMITTED = "commit_success.txt"

# TensorStore, message: the operating system's error number. Seen in tensorstore 0.1.86.
OS_ERROR = re.compile(r"os_error_code='(\d+)'")


def coordinator_address() -> str | None:
    """Where this process has joined the others, "HOST:PORT"; None if it has not.

    Seen in jax 0.10.2 and 0.12.0.1.
    """
    from jax._src import distributed

    return distributed.global_state.coordinator_address


def num_tpu_chips() -> int:
    """TPU chips on the PCI bus, which asks no driver. Seen in jax 0.10.2 and 0.12.0.1."""
    from jax._src import hardware_utils

    chips, _ = hardware_utils.num_available_tpu_chips_and_device_id()
    return chips
