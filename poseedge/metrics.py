import numpy as np
def joint_distances(p,t): return np.linalg.norm(p.astype(np.float64)-t,axis=-1)
def p_mpjpe_per_pose(p,t): return joint_distances(p,t).mean(1)
def mpjve(p,t): return np.linalg.norm(np.diff(p,axis=0)-np.diff(t,axis=0),axis=-1).mean()
def jitter(p): return np.linalg.norm(np.diff(p.astype(np.float64),n=2,axis=0),axis=-1).mean()
