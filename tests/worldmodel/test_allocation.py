import platform
import subprocess
import sys

COUNT_PAGES = """
import resource
import torch
from worldmodel.allocation import keep_freed_memory
from worldmodel.predictors.tokens import TokenPredictor, TokenPredictorConfig

torch.set_num_threads(1)
model = TokenPredictor(TokenPredictorConfig(width=64, depth=4, token_width=32)).eval()
context, pose = torch.zeros(1, 1, 64, 32), torch.zeros(32, 7)

@torch.inference_mode()
def imagine():
    known = model.prefill(context, pose[:1, None], pose[:1, None])
    caches = [cache.repeated(32, room=330) for cache in known]
    latents = context[0].expand(32, -1, -1)
    for time in range(1, 5):
        latents = model.advance(latents, pose, pose, time, caches)

def pages():
    imagine()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        imagine()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(pages(), keep_freed_memory(), pages())
"""


def test_imagining_again_takes_the_same_memory_again() -> None:
    """In a process of its own, as it cannot be undone; elsewhere than on glibc nothing happens."""
    ran = subprocess.run(
        [sys.executable, "-c", COUNT_PAGES], capture_output=True, text=True, check=True
    )
    taken_anew, there_is_a_way, taken_again = ran.stdout.split()
    assert there_is_a_way == str(platform.libc_ver()[0] == "glibc")
    if there_is_a_way == "True":
        assert int(taken_again) < int(taken_anew) / 10
