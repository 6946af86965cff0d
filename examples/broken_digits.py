"""A training with three mistakes, for the doctor to find:

netwright doctor examples/broken_digits.py
netwright doctor --repair examples/broken_digits.py
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from netwright.data.opening import open_dataset, read_options

torch.manual_seed(0)
digits = open_dataset(read_options({"name": "digits"}), seed=0)


def pairs(split):
    images = digits.splits[split]
    pixels = torch.stack([images.read(number) for number in range(len(images))])
    return TensorDataset(pixels.float(), torch.from_numpy(images.labels))


train = DataLoader(pairs("train"), batch_size=64, shuffle=True)
val = DataLoader(pairs("val"), batch_size=64)

model = nn.Sequential(
    nn.Flatten(),
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Linear(64, 10),
    nn.Softmax(dim=1),
)
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

for epoch in range(20):
    model.train()
    for images, labels in train:
        loss = loss_fn(model(images), labels)
        loss.backward()
        optimizer.step()

    model.eval()
    with torch.no_grad():
        right = sum((model(x).argmax(1) == y).sum().item() for x, y in val)
    print(f"epoch {epoch + 1}: {right / len(val.dataset):.3f}")
