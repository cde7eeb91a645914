"""What happens on each event and command, in the words of the business."""
