"""Digits, straight down."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(1)
digits = torch.load("digits.pt")
x, y = digits["images"].float() / 255, digits["labels"]
train = DataLoader(TensorDataset(x[:1077], y[:1077]), batch_size=32, shuffle=True)
val = DataLoader(TensorDataset(x[1077:1437], y[1077:1437]), batch_size=120)

model = nn.Sequential(
    nn.Flatten(),
    nn.Linear(64, 64),
    nn.ReLU(),
    nn.Dropout(0.2),
    nn.Linear(64, 10),
)
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(50):
    model.train()
    for images, labels in train:
        optimizer.zero_grad()
        loss = loss_fn(model(images), labels)
        loss.backward()
        optimizer.step()

    model.eval()
    with torch.no_grad():
        right = sum((model(a).argmax(1) == b).sum().item() for a, b in val)
    print(f"epoch {epoch + 1}: {right / 360:.3f}")

model.eval()
with torch.no_grad():
    print("test", (model(x[1437:]).argmax(1) == y[1437:]).float().mean().item())
