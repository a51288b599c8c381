def run(rig):
    pass
