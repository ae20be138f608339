// Operations of a device in words. Pure.

const WORDS: Record<string, string> = {
  "app.deploy": "Deploy an application",
  "app.update": "Update a container",
  "container.create": "Create a container",
  "container.start": "Start a container",
  "container.stop": "Stop a container",
  "container.restart": "Restart a container",
  "container.delete": "Delete a container",
  "container.checkpoint": "Save a checkpoint",
  "container.checkpoint.copy": "Copy a checkpoint",
  "container.restore": "Restore a checkpoint",
  "container.logs.fetch": "Fetch an output",
  "file.fetch": "Fetch files",
  "image.pull": "Pull an image",
  "image.delete": "Delete an image",
};

/** What an operation is; one that is not known here as the device calls it. */
export function operationWords(kind: string): string {
  return WORDS[kind] ?? kind;
}
