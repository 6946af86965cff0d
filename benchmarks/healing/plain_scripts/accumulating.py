import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

batch_size, accumulate, epochs = 16, 2, 40

# How far a damped spring has swung: a table of five numbers.
generator = torch.Generator().manual_seed(7)
inputs = torch.rand(1600, 5, generator=generator) * 2 - 1
target = torch.exp(-inputs[:, 0].abs()) * torch.cos(math.pi * inputs[:, 1])
target = target + inputs[:, 2] * inputs[:, 3] + 0.05 * torch.randn(1600, generator=generator)
target = target[:, None]
train_data = TensorDataset(inputs[:960], target[:960])
val_data = TensorDataset(inputs[960:1280], target[960:1280])

net = nn.Sequential(
    nn.Linear(5, 64), nn.Tanh(),
    nn.Linear(64, 64), nn.Tanh(),
    nn.Linear(64, 1),
)
criterion = nn.MSELoss()
train_loader = DataLoader(train_data, batch_size=batch_size, shuffle=True, drop_last=True)
val_loader = DataLoader(val_data, batch_size=64)
opt = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=1e-4)
steps = epochs * len(train_loader) // accumulate
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=3e-3, total_steps=steps)

best = float("inf")
for epoch in range(epochs):
    net.train()
    for i, (xb, yb) in enumerate(train_loader):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = criterion(net(xb), yb) / accumulate
        loss.backward()
        if (i + 1) % accumulate == 0:
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            opt.step()
            sched.step()
            opt.zero_grad()

    net.eval()
    with torch.inference_mode():
        total = sum(criterion(net(xb), yb).item() for xb, yb in val_loader)
    best = min(best, total / len(val_loader))
    print(f"{epoch:3d} val {total / len(val_loader):.4f} best {best:.4f}")

net.eval()
with torch.inference_mode():
    rest = ((net(inputs[1280:]) - target[1280:]) ** 2).mean()
print("test", 1 - (rest / target[1280:].var()).item())
