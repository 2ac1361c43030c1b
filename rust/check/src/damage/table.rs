//! All damages.

use super::sample::Sample::{Logged, Plain, Retained};
use super::{Damage, items, outer};

macro_rules! damages {
    ($($module:ident::$name:ident on $needs:ident finds $finds:expr;)+) => {
        static DAMAGES: &[Damage] =
            &[$(Damage { name: stringify!($name), needs: $needs, finds: &$finds, make: $module::$name }),+];
    };
}

damages! {
    outer::superblock_damaged on Plain finds [101];
    outer::superblock_stale on Plain finds [102];
    outer::superblock_differs on Plain finds [103];

    outer::descriptor_damaged on Plain finds [201];
    outer::descriptor_stale on Retained finds [202];
    outer::descriptor_lost on Plain finds [203];
    outer::descriptors_differ on Plain finds [204];
    outer::descriptor_in_the_wrong_slot on Plain finds [205];
    outer::descriptor_with_an_impossible_root on Plain finds [205];
    outer::descriptors_out_of_order on Plain finds [205];
    outer::impossible_place_in_the_log on Plain finds [205];
    outer::checkpoint_lost on Plain finds [201, 206];
    outer::no_checkpoint on Plain finds [207];
    outer::tree_miscounted on Plain finds [208];
    outer::free_blocks_miscounted on Plain finds [208];

    outer::log_damaged on Logged finds [301];
    outer::transaction_out_of_order on Logged finds [302];
    outer::log_names_static_blocks on Logged finds [302];
    outer::log_holds_a_token on Logged finds [302];
    outer::log_carries_other_bytes on Logged finds [302];

    outer::retention_damaged on Retained finds [401];
    outer::dead_list_damaged on Retained finds [402];
    outer::bucket_damaged on Retained finds [402];
    outer::retained_is_not_what_its_descriptor_says on Retained finds [403];
    outer::retained_out_of_order on Retained finds [403];
    outer::dead_blocks_miscounted on Retained finds [404];
    outer::dead_block_born_elsewhen on Retained finds [404];
    outer::dead_block_in_use on Retained finds [405];
    outer::dead_block_unlisted on Retained finds [406];

    items::leaf_damaged on Plain finds [501];
    items::root_damaged on Plain finds [501];
    items::node_misplaced on Plain finds [502];
    items::node_zeroed on Plain finds [502];
    items::keys_out_of_order on Plain finds [503];
    items::keys_out_of_bounds on Plain finds [503];
    items::value_damaged on Plain finds [504];
    items::value_outside on Plain finds [505];
    items::extents_share_a_block on Plain finds [506, 706];
    items::extent_over_a_node on Plain finds [506, 706, 707, 1101];

    outer::retained_damaged on Retained finds [601];

    outer::table_damaged on Plain finds [701];
    outer::table_stale on Plain finds [701];
    outer::table_wrong on Plain finds [702];
    outer::block_bitmap_damaged on Plain finds [703];
    outer::inode_bitmap_damaged on Plain finds [703];
    outer::bitmap_stale on Plain finds [703];
    outer::bitmap_miscounted on Plain finds [704];
    outer::static_block_free on Plain finds [705];
    outer::reserved_inode_free on Plain finds [705];
    outer::block_leaked on Plain finds [706];
    outer::block_unprotected on Plain finds [707];
    outer::node_unprotected on Plain finds [707];
    outer::inode_leaked on Plain finds [708];
    outer::inode_unprotected on Plain finds [709];

    items::kind_reserved on Plain finds [801];
    items::kind_of_a_token on Plain finds [801];
    items::object_unknown on Plain finds [802];
    items::inode_number_too_high on Plain finds [802];
    items::second_record on Plain finds [803];
    items::bytes_of_a_directory on Plain finds [804];
    items::entries_of_a_file on Plain finds [804];
    items::record_deleted on Plain finds [708, 805, 901];
    items::record_cut on Plain finds [806];
    items::file_with_directories on Plain finds [807];
    items::directory_with_links on Plain finds [807];
    items::generation_twice on Plain finds [808];
    items::generation_unknown on Plain finds [809];
    items::root_missing on Plain finds [805, 810];
    items::root_is_a_file on Plain finds [804, 810];

    items::entries_cut on Plain finds [821];
    items::entry_at_another_hash on Plain finds [822];
    items::subdirs_wrong on Plain finds [823];
    items::removed_directory_with_entries on Plain finds [824];

    items::extent_with_unknown_flags on Plain finds [831];
    items::extent_crosses_a_chunk on Plain finds [832];
    items::extents_overlap on Plain finds [833];
    items::extent_outside on Plain finds [834];
    items::extent_born_too_late on Plain finds [835];
    items::size_too_small on Plain finds [836];
    items::blocks_wrong on Plain finds [837];
    items::tail_elsewhere on Plain finds [838];
    items::tail_too_long on Plain finds [838];
    items::target_cut on Plain finds [839];
    items::target_missing on Plain finds [839];

    items::attributes_cut on Plain finds [841];
    items::attribute_at_another_hash on Plain finds [842];
    items::attribute_of_no_namespace on Plain finds [843];
    items::list_is_none on Plain finds [844];
    items::list_not_flagged on Plain finds [845];
    items::mode_not_of_the_list on Plain finds [846];

    items::orphan_cut on Plain finds [851];
    items::orphan_without_inode on Plain finds [852];
    items::orphan_of_another on Plain finds [853];
    items::orphan_with_links on Plain finds [854];
    items::orphan_missing on Plain finds [855];

    items::entry_dangling on Plain finds [901];
    items::entry_to_an_impossible_number on Plain finds [901];
    items::entry_of_another_type on Plain finds [902];
    items::links_wrong on Plain finds [903];
    items::entry_removed on Plain finds [904];
    items::directory_with_two_names on Plain finds [905];
    items::entry_to_the_root on Plain finds [905];
    items::parent_wrong on Plain finds [906];
    items::directory_loop on Plain finds [907];

    outer::replay_takes_used on Logged finds [1001, 1004];
    outer::replay_frees_free on Logged finds [1002, 1003];
    outer::replay_takes_too_much on Logged finds [1003];
    outer::replay_takes_elsewhere on Logged finds [1003, 1004];
    outer::replay_takes_too_little on Logged finds [1004];

    outer::data_damaged on Plain finds [1101];
    items::bytes_behind_the_end on Plain finds [1102];
}

/// All damages, by what they hit.
#[must_use]
pub fn damages() -> &'static [Damage] {
    DAMAGES
}
