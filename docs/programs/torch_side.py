import torch

x = torch.linspace(-1, 1, 32).reshape(-1, 1)
y = torch.sin(3 * x)
w1 = torch.linspace(-2, 2, 16).reshape(1, 16).requires_grad_()
b1 = torch.linspace(1, -1, 16).requires_grad_()
w2 = torch.full((16, 1), 0.1).requires_grad_()


def loss_of(w1, b1, w2):
    return torch.mean((torch.tanh(x @ w1 + b1) @ w2 - y) ** 2)


optimizer = torch.optim.SGD([w1, b1, w2], lr=0.05, momentum=0.9)
for _ in range(200):
    optimizer.zero_grad()
    loss = loss_of(w1, b1, w2)
    loss.backward()
    optimizer.step()

hessian = torch.func.hessian(loss_of, argnums=2)(w1, b1, w2)
result = torch.cat([loss.detach().reshape(1), hessian.detach().ravel()])
