"""The ways in which scripts spell calls: positional, by keyword, numpy's names, lists and tuples. A line each; runs under any torch."""
import torch

y = torch.ones(4, 2)
CALLS = """
torch.split(x,[1,2]) | x.split([1,3],dim=1) | torch.split(x,2,1) | torch.einsum("ij,jk",[x,y]) | torch.einsum(x,[0,1],y,[1,2],[0,2])
torch.einsum("ij,jk->ki",x,y) | torch.norm(x,p='fro') | torch.norm(x,p=1,dim=1) | x.norm(dim=(0,1)) | torch.norm(x,float('inf'))
torch.atleast_1d(x,y[0,0]) | torch.broadcast_tensors(x,x[0]) | torch.stack((x,x),dim=-1).shape | torch.cat([x,x],axis=1).shape
x.mean(axis=1,keepdims=True) | torch.tensordot(x,y,1) | torch.tensordot(x,x) | x.sum((0,1)) | torch.sum(x,dim=[0]) | x.view(-1,6)
x.view([4,3]) | x.reshape(2,-1) | x.permute(1,0).shape | x.permute([1,0]).shape | torch.permute(x,(1,0)).shape | x.expand(2,3,4).shape
x.expand(2,-1,-1).shape | x.repeat(2,1).shape | x.repeat((2,1)).shape | x.tile(2).shape | x.flip(0) | x.flip([0,1]) | x.flip(0,1)
torch.flip(x,dims=(0,)) | x.roll(1) | x.roll((1,1),(0,1)) | torch.rand(2,3).shape | torch.rand((2,3)).shape | torch.zeros([2]).shape
torch.zeros(2,3,dtype=torch.int32) | torch.randint(3,(2,)).shape | torch.randint(0,3,(2,)).shape
torch.randint(low=0,high=3,size=(2,)).shape | torch.arange(1,4) | torch.arange(0,1,0.25) | torch.arange(start=1,end=3)
torch.linspace(0,1,steps=3) | torch.full((2,),3) | torch.full((2,),True) | torch.full((2,),1.5,dtype=torch.half) | torch.eye(2,3)
torch.tensor([]).shape | torch.where(x>5) | torch.where(x>5,x,0.) | torch.clamp(x,min=2) | x.clamp(1,5) | x.clip(max=3) | x.max()
x.max(1) | x.max(x*2) | torch.max(x,dim=1,keepdim=True)[0] | x.argmax() | x.argmax(-1) | x.min(dim=0).values | x.topk(2)[1]
x.sort(descending=True)[0] | x.var(unbiased=False) | x.var(0,unbiased=False) | x.std(dim=1,correction=0) | x.squeeze(0).shape
x.unsqueeze(-1).shape | x[None].squeeze().shape | x.squeeze((0,1)).shape
torch.squeeze(x) .shape| x.new_zeros(2,3) .shape| x.new_tensor([1,2]) | x.new_ones((2,)) | x.new_full((2,),3.) | x.type(torch.int64)
x.type() | x.to(torch.float64).dtype | x.to('cpu',torch.half).dtype | x.to(device='cpu',dtype=torch.int32).dtype | x.to(y).dtype
x.float().dtype | x.size() | x.size(0) | x.size(-1) | x.shape[1:] | x.stride() | x.numel() | x.nelement() | x.dim() | x.ndimension()
x.element_size() | x.is_contiguous() | x.t().is_contiguous() | x.T.shape | x.mT.shape | x.H.shape | x.tolist() | x[0,0].item()
float(x[0,1]) | int(x[0,2]) | len(x) | [r.sum().item() for r in x] | 3.0 in x | bool(x[0,0])
x.scatter_(1,torch.tensor([[0],[1],[2]]),9.) | x.scatter(1,torch.tensor([[0],[1],[2]]),x[:,:1]) | x.gather(1,torch.tensor([[0],[1],[2]]))
x.index_select(0,torch.tensor([2,0])) | x.masked_fill(x>5,0) | x.masked_select(x>5) | x[x>5] | x[[0,2]] | x[:,[1,2]] | x[...,-1]
x[torch.tensor([0,1]),torch.tensor([2,3])] | x[1:,::2] | x.chunk(2,1)[1] | torch.chunk(x,2)[0] | x.unbind(1)[0] | x[0].dot(x[1]) | x@y
x.matmul(y) | x.mm(y) | torch.mv(x,y[:,0]) | torch.addmm(torch.ones(2),x,y) | torch.baddbmm(torch.ones(1,3,2),x[None],y[None])
torch.bmm(x[None],y[None]).shape | torch.ones(2).add(1,alpha=2) | torch.add(x,y[0,0],alpha=3)[0] | x.add_(1)[0]
x.sub(1).mul(2).div(4)[0] | x//2 | x%3 | x**2 | 2**x[0] | 1/(x+1) | -x | ~(x>3) | (x>3)&(x<8) | (x>3)|(x<1) | x.int()<<1
x.pow(2).sum().sqrt() | x.cumsum(0) | x.cumprod(dim=1) | x.softmax(-1) | x.log_softmax(dim=1) | torch.sigmoid(x)[0]
x.round(decimals=1)[0] | torch.nn.functional.normalize(x,dim=1) | torch.triu(x,1) | x.tril(-1) | x.diag() | torch.diag(x[0])
torch.diagonal(x) | x.trace() | torch.multinomial(torch.tensor([0.,1.]),1) | torch.logsumexp(x,1) | x.isnan().any()
torch.isfinite(x).all() | x.all(dim=1) | x.any() | torch.count_nonzero(x) | x.nonzero()[0] | torch.nonzero(x,as_tuple=True)[0]
x.bool().sum() | x.prod() | x.median() | torch.dist(x,x*2) | x.contiguous().view(-1)[:3] | x.clone().fill_(2)[0] | x.zero_().sum()
x.data.shape | x.detach().requires_grad | x.requires_grad_().is_leaf | x.grad | torch.ones_like(x)[0] | torch.empty_like(x).shape
torch.randn_like(x).shape | torch.numel(x) | torch.is_tensor(x) | torch.get_default_dtype() | torch.manual_seed(3) is not None
torch.bernoulli(torch.ones(2)) | torch.normal(0.,1.,(2,)).shape | torch.normal(torch.zeros(2),torch.ones(2)).shape
torch.randperm(3).shape | torch.Tensor([1,2]) | torch.Tensor(2,3).shape | torch.LongTensor([1]) | torch.FloatTensor(2).shape
torch.device('cpu') | torch.Size([1,2]).numel() | x.storage().size() | x.data_ptr()>0 | x.is_cuda | x.device | x.layout | x.dtype
torch.finfo(torch.float32).eps | torch.iinfo(torch.int32).max | x.view_as(x).shape | x.reshape_as(x).shape | x.expand_as(x).shape
x.type_as(y).dtype | x.swapaxes(0,1).shape | x.movedim(0,1).shape | x.unflatten(1,(2,2)).shape | x.flatten().shape | x.ravel().shape
x.narrow(1,1,2) | x.select(0,1) | x.index_add(0,torch.tensor([0]),x[:1]) | x.index_fill(0,torch.tensor([0]),5.)
x.index_copy(0,torch.tensor([0]),x[:1]) | x.lerp(x+1,0.5)[0] | torch.addcmul(x,x,x,value=2)[0] | torch.addcdiv(x,x,x+1)[0]
x.bernoulli_(0.0).sum() | x.uniform_(0,1).max()<1 | x.normal_().shape | x.exponential_().shape | x.random_(3).max()<3
torch.hstack((x,x)).shape | torch.vstack([x,x]).shape | torch.dstack([x,x]).shape | torch.column_stack([x,x]).shape
torch.repeat_interleave(x,2,dim=0).shape | torch.cosine_similarity(x,x+1) | torch.relu(x)[0] | torch.erf(x)[0] | torch.sgn(x)[0]
torch.square(x)[0] | torch.rsqrt(x+1)[0] | torch.trunc(x)[0] | torch.fmod(x,2)[0] | torch.remainder(x,2)[0] | torch.atan2(x,x+1)[0]
torch.hypot(x,x)[0] | torch.logical_and(x,x)[0] | torch.logical_not(x)[0] | torch.bitwise_and(x.int(),1)[0] | torch.maximum(x,x)[0]
torch.fmax(x,x)[0] | torch.nan_to_num(x)[0] | torch.lgamma(x+1)[0] | torch.digamma(x+1)[0] | torch.special.expit(x)[0]
torch.linalg.norm(x) | torch.linalg.vector_norm(x,ord=1) | torch.linalg.matrix_norm(x)
"""
for call in [c for line in CALLS.strip().split("\n") for c in line.split(" | ")]:
    torch.manual_seed(0)
    x = torch.arange(12.0).reshape(3, 4)
    try:
        result = eval(call)
    except Exception as error:
        result = "raised " + type(error).__name__
    print(call, "->", str(result).replace("\n", " "))
