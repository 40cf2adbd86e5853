CREATE TABLE `actions` (
	`episode_id` text NOT NULL,
	`turn` integer NOT NULL,
	`agent` text NOT NULL,
	`text` text NOT NULL,
	`prompt_tokens` text,
	`tokens` text,
	`logprobs` text,
	`policy_version` text,
	`sampling` text,
	`seed` integer,
	`payload_hash` text NOT NULL,
	`created_at` integer NOT NULL,
	PRIMARY KEY(`episode_id`, `turn`, `agent`),
	FOREIGN KEY (`episode_id`) REFERENCES `episodes`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE TABLE `agents` (
	`run_id` text NOT NULL,
	`name` text NOT NULL,
	`position` integer NOT NULL,
	`policy` text NOT NULL,
	PRIMARY KEY(`run_id`, `name`),
	FOREIGN KEY (`run_id`) REFERENCES `runs`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE TABLE `completions` (
	`cursor` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`episode_id` text NOT NULL,
	`run_id` text,
	`purpose` text NOT NULL,
	`turn` integer NOT NULL,
	`status` text NOT NULL,
	`cause` text,
	`created_at` integer NOT NULL,
	FOREIGN KEY (`episode_id`) REFERENCES `episodes`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `completions_episode_id_unique` ON `completions` (`episode_id`);--> statement-breakpoint
CREATE INDEX `completions_run` ON `completions` (`run_id`,`cursor`);--> statement-breakpoint
CREATE TABLE `episodes` (
	`id` text PRIMARY KEY NOT NULL,
	`run_id` text,
	`environment` text NOT NULL,
	`options` text NOT NULL,
	`item_id` text NOT NULL,
	`task` text,
	`seed` integer NOT NULL,
	`turn_seeds` text,
	`stop_above` real,
	`purpose` text NOT NULL,
	`policy_versions` text,
	`agents` text NOT NULL,
	`deadline_at` integer,
	`spec_hash` text NOT NULL,
	`status` text NOT NULL,
	`turn` integer NOT NULL,
	`cause` text,
	`created_at` integer NOT NULL,
	FOREIGN KEY (`run_id`) REFERENCES `runs`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `episodes_running` ON `episodes` (`run_id`) WHERE status = 'running';--> statement-breakpoint
CREATE TABLE `evaluations` (
	`id` text PRIMARY KEY NOT NULL,
	`request` text NOT NULL,
	`status` text NOT NULL,
	`progress` real NOT NULL,
	`result` text,
	`error` text,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `metrics` (
	`run_id` text NOT NULL,
	`step` integer NOT NULL,
	`name` text NOT NULL,
	`value` real NOT NULL,
	`created_at` integer NOT NULL,
	PRIMARY KEY(`run_id`, `step`, `name`),
	FOREIGN KEY (`run_id`) REFERENCES `runs`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE TABLE `observations` (
	`episode_id` text NOT NULL,
	`turn` integer NOT NULL,
	`agent` text NOT NULL,
	`text` text NOT NULL,
	`messages` text,
	`info` text,
	PRIMARY KEY(`episode_id`, `turn`, `agent`),
	FOREIGN KEY (`episode_id`) REFERENCES `episodes`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE TABLE `policy_versions` (
	`run_id` text NOT NULL,
	`policy` text NOT NULL,
	`version` text NOT NULL,
	`iteration` integer NOT NULL,
	`folder` text,
	`created_at` integer NOT NULL,
	PRIMARY KEY(`run_id`, `policy`, `version`),
	FOREIGN KEY (`run_id`) REFERENCES `runs`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE TABLE `runs` (
	`id` text PRIMARY KEY NOT NULL,
	`environment` text NOT NULL,
	`options` text NOT NULL,
	`config` text NOT NULL,
	`spec_hash` text NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE `steps` (
	`episode_id` text NOT NULL,
	`turn` integer NOT NULL,
	`state` text,
	`rewards` text,
	`components` text,
	`terminations` text,
	`truncations` text,
	`infos` text,
	`created_at` integer NOT NULL,
	PRIMARY KEY(`episode_id`, `turn`),
	FOREIGN KEY (`episode_id`) REFERENCES `episodes`(`id`) ON UPDATE no action ON DELETE no action
);
