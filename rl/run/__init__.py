"""What a training run needs: policy, models, arguments."""
